//! Lists the built page, `web/dist`, for [`src/http/page.rs`](src/http/page.rs): the names of its files change with what is in them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The page as it was built and committed.
const BUILT: &str = "web/dist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={BUILT}");
    #[allow(
        clippy::disallowed_methods,
        reason = "cargo tells a build script where to write in no other way"
    )]
    let out = PathBuf::from(
        env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no folder"))?,
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
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
