//! What is configured and missing stops a start and is named.

use crate::{node::Site, redis};

#[tokio::test]
async fn a_redis_that_is_missing_stops_the_start() {
    let site = Site::new();
    let nobody = format!("redis://127.0.0.1:{}", redis::free_port());
    let output = site
        .command("one")
        .env("PARLOR__CLUSTER__REDIS__URL", nobody)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cluster.redis: no answer"), "{said}");
}

#[tokio::test]
async fn readiness_and_metrics_tell_of_redis_and_the_store() {
    let site = Site::new();
    let (one, _two) = site.pair().await;
    let (status, text) = one.get("/health/ready").await;
    assert_eq!((status, text.as_str()), (200, r#"{"status":"ready"}"#));
    for name in [
        "parlor_store_up",
        "parlor_redis_commands_up",
        "parlor_redis_subscription_up",
    ] {
        assert_eq!(one.metric(name).await, 1.0, "{name}");
    }
}
