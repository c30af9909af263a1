//! Lists the built page, `web/dist`, for [`src/http/page.rs`](src/http/page.rs): the names of its files change with what is in them.

use std::{env, fs, io, path::PathBuf};

/// The page as it was built and committed.
const BUILT: &str = "web/dist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={BUILT}");
    let out = folder_of("OUT_DIR")?;
    // Asked for now, and not when this was compiled: a target folder may be carried to another checkout.
    let root = folder_of("CARGO_MANIFEST_DIR")?;
    let mut table = String::from("&[\n");
    for folder in ["", "assets"] {
        let folder = root.join(BUILT).join(folder);
        let mut files = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files {
            if !file.file_type()?.is_file() {
                continue;
            }
            let name = file.file_name();
            table.push_str(&format!(
                "File {{ name: {:?}, bytes: include_bytes!({:?}) }},\n",
                name.to_string_lossy(),
                file.path()
            ));
        }
    }
    table.push_str("]\n");
    fs::write(out.join("page.rs"), table)
}

#[allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script about folders in no other way"
)]
fn folder_of(variable: &str) -> io::Result<PathBuf> {
    let folder = env::var_os(variable).ok_or_else(|| io::Error::other("cargo names no folder"))?;
    Ok(PathBuf::from(folder))
}
