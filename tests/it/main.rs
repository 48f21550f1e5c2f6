mod postgres;
mod store;
