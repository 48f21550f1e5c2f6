//! The one way out, where one is allowed.

use super::{Yard, said};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Network;
use terraplane::sandbox::process::End;

/// Answers one connection.
fn serve(listener: TcpListener) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = [0; 5];
        stream.read_exact(&mut line).unwrap();
        stream.write_all(b"answer\n").unwrap();
        String::from_utf8(line.to_vec()).unwrap()
    })
}

#[tokio::test]
async fn the_proxy_is_reached_and_nothing_else() {
    for level in [Level::Full, Level::Reduced] {
        let yard = Yard::at(level).await;
        let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let foreign = other.local_addr().unwrap().port();
        let mut policy = yard.policy();
        policy.network = Network::Allow;
        let mut cage = yard.open(policy).await;
        let url = cage.proxy_url().unwrap();
        let port = url.strip_prefix("http://127.0.0.1:").unwrap().to_owned();
        let served = serve(cage.take_listener().unwrap());
        assert!(cage.take_listener().is_none());
        let talk = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo helo >&3; cat <&3");
        assert_eq!(said(&mut cage, yard.program("/bin/bash", &["-c", &talk])).await, "answer\n", "{level}");
        assert_eq!(served.join().unwrap(), "helo\n");

        for (address, expected) in [(format!("127.0.0.1/{foreign}"), foreign), ("127.0.0.2/".to_owned() + &port, 0)] {
            let script = format!("exec 3<>/dev/tcp/{address}");
            let outcome = cage.run(yard.program("/bin/bash", &["-c", &script])).await.unwrap();
            assert_ne!(outcome.end, End::Exit(0), "{level} {address}");
            if level == Level::Reduced {
                assert_eq!(outcome.refused, [address.replace('/', ":")], "{expected}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_network_there_is_no_proxy() {
    for level in [Level::Full, Level::Reduced] {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        assert!(cage.take_listener().is_none() && cage.proxy_url().is_none());
    }
}

#[tokio::test]
async fn the_hosts_network_reaches_its_loopback() {
    for level in [Level::Full, Level::Reduced, Level::Weak] {
        let yard = Yard::at(level).await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = serve(listener);
        let mut policy = yard.policy();
        policy.network = Network::Host;
        let mut cage = yard.open(policy).await;
        let talk = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo helo >&3; cat <&3");
        assert_eq!(said(&mut cage, yard.program("/bin/bash", &["-c", &talk])).await, "answer\n", "{level}");
        assert_eq!(served.join().unwrap(), "helo\n");
    }
}
