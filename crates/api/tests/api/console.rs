//! The console's files and the headers that all answers have.

use crate::support::World;

#[tokio::test]
async fn pages_and_files() {
    let world = World::new();
    for path in ["/", "/calls", "/accounts/7/ledger"] {
        let told = world
            .ask("GET", "")
            .at(path)
            .anonymous()
            .header("accept-encoding", "gzip, br")
            .send()
            .await
            .expect(200);
        assert_eq!(told.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(told.header("cache-control"), "no-cache");
        let policy = told.header("content-security-policy");
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{policy}");
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        let etag = told.header("etag").to_string();
        if !etag.is_empty() {
            let again = world.ask("GET", "").at(path).anonymous().header("if-none-match", &etag).send().await;
            assert!(again.expect(304).bytes.is_empty());
            let plain = world.ask("GET", "").at(path).anonymous().send().await.expect(200);
            assert_eq!(plain.header("content-encoding"), "");
            assert!(
                plain.bytes.starts_with(b"<!doctype html>") || plain.bytes.starts_with(b"<!DOCTYPE html>")
            );
        }
    }
    for path in
        ["/assets/none.js", "/../Cargo.toml", "/..%2f..%2fCargo.toml", "/index.html.gz", "/favicon.ico"]
    {
        world.ask("GET", "").at(path).anonymous().send().await.expect(404);
    }
    world.ask("POST", "").at("/").anonymous().send().await.expect(405);
}

#[tokio::test]
async fn api_answers_are_not_kept() {
    let world = World::new();
    let told = world.get("/status").await.expect(200);
    assert_eq!(told.header("cache-control"), "no-store");
    assert!(told.header("x-request-id").contains('-'));
}
