//! An authority and a server's certificate for 127.0.0.1 and localhost, made by `openssl` for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The files, as PEM.
pub(crate) struct Certificates {
    /// Who signed.
    pub(crate) authority: PathBuf,
    /// The server's certificate.
    pub(crate) certificate: PathBuf,
    /// The server's key.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in a folder.
    #[track_caller]
    pub(crate) fn make(folder: &Path) -> Self {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut authority = vec!["req", "-x509", "-subj", "/CN=test authority", "-days", "2"];
        authority.extend(curve);
        authority.extend(["-keyout", "authority.key", "-out", "authority.pem"]);
        let mut server = vec!["req", "-x509", "-subj", "/CN=localhost", "-days", "2"];
        server.extend(curve);
        server.extend(["-CA", "authority.pem", "-CAkey", "authority.key"]);
        server.extend(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        server.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        server.extend(["-keyout", "server.key", "-out", "server.pem"]);
        for arguments in [authority, server] {
            let mut openssl = Command::new("openssl");
            openssl.args(&arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(openssl.status().expect("openssl must be installed").success(), "{arguments:?}");
        }
        let file = |name| folder.join(name);
        Self { authority: file("authority.pem"), certificate: file("server.pem"), key: file("server.key") }
    }
}
