//! The shipped files say what the structs say. `UPDATE=1 cargo test -p parlor-config` rewrites them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use parlor_config::{Settings, example_toml, settings_table};

fn compare(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    #[allow(
        clippy::disallowed_methods,
        reason = "a switch of this test, not a setting"
    )]
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == generated,
        "{} is not what the settings say; UPDATE=1 rewrites it",
        path.display()
    );
}

#[test]
fn the_example_file_is_generated() {
    compare("parlor.toml", &example_toml());
}

#[test]
fn the_page_of_settings_is_generated() {
    compare("../docs/SETTINGS.md", &settings_table());
}

#[test]
fn the_example_file_is_the_default() {
    let read: Settings = toml::from_str(&example_toml()).unwrap();
    assert_eq!(read, Settings::default());
}
