//! A registry of providers on loopback, over TLS, with packages that are really signed (`tests/data/providers`).

use axum::extract::{Path as Param, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// What the registry offers, and what it was asked.
#[derive(Debug, Default)]
struct Stock {
    /// The zip that is sent for each version of `acme/fake`.
    versions: BTreeMap<String, Vec<u8>>,
    /// Files besides those of the provider.
    files: BTreeMap<String, Vec<u8>>,
    /// Every request is answered with this.
    trouble: Option<StatusCode>,
    /// How long a zip takes.
    slow: Duration,
    asked: Vec<String>,
}

pub(super) struct Registry {
    stock: Arc<Mutex<Stock>>,
    address: SocketAddr,
    server: JoinHandle<()>,
    ca: TempDir,
}

impl Registry {
    /// Offers these versions of `acme/fake`.
    pub(super) async fn with(versions: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca = tempfile::tempdir().unwrap();
        fs::write(ca.path().join("ca.pem"), cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let listener = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };

        let stock = Arc::new(Mutex::new(Stock::default()));
        let router = Router::new()
            .route("/.well-known/terraform.json", get(|| async { Json(json!({ "providers.v1": "/v1/providers/" })) }))
            .route("/v1/providers/acme/fake/versions", get(versions_of))
            .route("/v1/providers/acme/fake/{version}/download/{os}/{arch}", get(download))
            .route("/files/{name}", get(file))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&stock), note))
            .with_state(Arc::clone(&stock));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let registry = Self { stock, address, server, ca };
        versions.iter().for_each(|version| registry.offer(version));
        registry
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap()
    }

    pub(super) fn offer(&self, version: &str) {
        let zip = fs::read(data().join(format!("fake_{version}.zip"))).unwrap();
        self.stock().versions.insert(version.to_owned(), zip);
    }

    /// Serves a file, and returns its address.
    pub(super) fn serve(&self, name: &str, content: Vec<u8>) -> String {
        self.stock().files.insert(name.to_owned(), content);
        format!("https://{}/files/{name}", self.host())
    }

    /// From now on another zip is sent than the one that was signed.
    pub(super) fn tamper(&self, version: &str) {
        *self.stock().versions.get_mut(version).unwrap() = b"PK\x03\x04 another one".to_vec();
    }

    pub(super) fn fail_with(&self, trouble: StatusCode) {
        self.stock().trouble = Some(trouble);
    }

    pub(super) fn slow_down(&self, time: Duration) {
        self.stock().slow = time;
    }

    /// Nobody listens any more.
    pub(super) async fn close(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// The registry's name in addresses.
    pub(super) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The variables by which a client trusts it.
    pub(super) fn network(&self) -> Vec<(String, String)> {
        vec![("SSL_CERT_FILE".to_owned(), self.ca.path().join("ca.pem").display().to_string())]
    }

    /// How often a path that ends so was asked for.
    pub(super) fn asked(&self, end: &str) -> usize {
        self.stock().asked.iter().filter(|path| path.ends_with(end)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers")
}

type Shared = State<Arc<Mutex<Stock>>>;

async fn note(
    State(stock): Shared,
    uri: Uri,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let trouble = {
        let mut stock = stock.lock().unwrap();
        // A client may ask for the size of a file before.
        if request.method() == Method::GET {
            stock.asked.push(uri.path().to_owned());
        }
        stock.trouble
    };
    match trouble {
        Some(trouble) => trouble.into_response(),
        None => next.run(request).await,
    }
}

async fn versions_of(State(stock): Shared) -> Response {
    let platforms: Vec<_> = ["amd64", "arm64"].iter().map(|arch| json!({ "os": "linux", "arch": arch })).collect();
    let versions: Vec<_> = (stock.lock().unwrap().versions.keys())
        .map(|version| json!({ "version": version, "protocols": ["5.0"], "platforms": platforms }))
        .collect();
    Json(json!({ "versions": versions })).into_response()
}

async fn download(
    State(_): Shared,
    headers: HeaderMap,
    Param((version, os, arch)): Param<(String, String, String)>,
) -> Response {
    let sums = fs::read_to_string(data().join(format!("fake_{version}_SHA256SUMS"))).unwrap();
    let filename = format!("terraform-provider-fake_{version}_{os}_{arch}.zip");
    let shasum = sums.lines().find(|line| line.ends_with(&filename)).unwrap().split(' ').next().unwrap();
    let at = |name: &str| format!("https://{}/files/{name}", headers["host"].to_str().unwrap());
    let key = fs::read_to_string(data().join("key.asc")).unwrap();
    Json(json!({
        "protocols": ["5.0"], "os": os, "arch": arch, "filename": filename, "shasum": shasum,
        "download_url": at(&format!("fake_{version}.zip")),
        "shasums_url": at(&format!("fake_{version}_SHA256SUMS")),
        "shasums_signature_url": at(&format!("fake_{version}_SHA256SUMS.sig")),
        "signing_keys": { "gpg_public_keys": [{ "key_id": "ACME", "ascii_armor": key }] },
    }))
    .into_response()
}

async fn file(method: Method, State(stock): Shared, Param(name): Param<String>) -> Response {
    let version = name.strip_prefix("fake_").and_then(|rest| rest.strip_suffix(".zip"));
    let (ours, slow) = {
        let stock = stock.lock().unwrap();
        let zip = version.and_then(|version| stock.versions.get(version));
        (zip.or_else(|| stock.files.get(&name)).cloned(), stock.slow)
    };
    match ours {
        Some(content) => {
            if method == Method::GET {
                tokio::time::sleep(slow).await;
            }
            content.into_response()
        }
        None => fs::read(data().join(name)).map_err(|_| StatusCode::NOT_FOUND).into_response(),
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not trust us hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
