//! Terraplane turns pull requests into infrastructure. This is the map.
//!
//! A change is found by walking this line; folders follow it:
//!
//! ```text
//! forge ──webhook──▶ web::hooks ──▶ store (delivery) ──▶ domain::decide ──▶ store (runs) ──▶ flow::worker ──▶ terraform
//!   ▲                 verify         202 to the forge       pure             queue, leases      git work tree     │
//!   │                                                                                                             ▼
//!   └────────── outbox ◀── domain::report, render (comment, statuses) ◀── store (plan, result) ◀── plan JSON ─────┘
//! ```
//!
//! Imports run one way: `main, cli → demo → web → flow → edges → domain`, and `config → domain`. Edges are `forge`, `git`,
//! `terraform`, `sandbox`, `store`, `archive` and `render`; an edge never imports another, except that `git` and
//! `terraform` start their processes through `sandbox`. `tests/it/architecture.rs` holds the code to this.

pub mod archive;
pub mod cli;
pub mod config;
pub mod crash;
pub mod demo;
pub mod domain;
pub mod flow;
pub mod forge;
pub mod git;
pub mod render;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod terraform;
pub mod web;
