//! Which package of the workspace may depend on which, and that all share the lints.
//!
//! `server → {actors, cluster} → config → schema`; a client knows the schema at most. What tests need is free.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::tree::{Finding, ROOT, Text};

/// Packages of the workspace, and which others each may depend on.
const DIRECTION: [(&str, &[&str]); 6] = [
    (
        "parlor",
        &[
            "parlor-actors",
            "parlor-cluster",
            "parlor-config",
            "parlor-schema",
            "parlor-client",
        ],
    ),
    ("parlor-actors", &["parlor-config", "parlor-schema"]),
    ("parlor-cluster", &["parlor-config", "parlor-schema"]),
    ("parlor-config", &["parlor-schema"]),
    ("parlor-schema", &[]),
    ("parlor-client", &["parlor-schema"]),
];

/// Beginnings of the names of crates that do I/O or know actors: the schema has none of them.
const NOT_IN_SCHEMA: [&str; 8] = [
    "actix",
    "tokio",
    "async-std",
    "hyper",
    "redb",
    "redis",
    "reqwest",
    "scylla",
];

/// A member of the workspace: its manifest, and what it depends on outside of tests.
pub(crate) struct Package {
    name: String,
    manifest: Text,
    dependencies: Vec<String>,
}

/// Asks cargo for the members of the workspace.
pub(crate) fn workspace() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: Vec<Package> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect();
    assert!(
        packages.len() > 1,
        "no members found: the test looks in the wrong place"
    );
    packages
}

fn package(value: &Value) -> Package {
    let manifest = Path::new(value["manifest_path"].as_str().unwrap());
    // Cargo resolves links in the path of the workspace, the compiler does not.
    let root = Path::new(ROOT).canonicalize().unwrap();
    let manifest = manifest.canonicalize().unwrap();
    Package {
        name: value["name"].as_str().unwrap().to_owned(),
        manifest: Text::read(manifest.strip_prefix(root).unwrap().to_str().unwrap()),
        dependencies: value["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect(),
    }
}

/// No dependency points backwards, and the schema knows nothing of the outside.
pub(crate) fn wrong_dependencies(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = DIRECTION.iter().find(|(name, _)| *name == package.name) else {
            findings.push(package.manifest.finding(
                1,
                format!("{} has no row in the table of directions", package.name),
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let is_member = packages.iter().any(|member| member.name == *dependency);
            if is_member && !allowed.contains(&dependency.as_str()) {
                let what = format!("{} must not depend on {dependency}", package.name);
                findings.push(package.manifest.finding(package.line_of(dependency), what));
            }
            if package.name == "parlor-schema"
                && NOT_IN_SCHEMA
                    .iter()
                    .any(|name| dependency.starts_with(name))
            {
                let what = format!("the schema does no I/O and must not depend on {dependency}");
                findings.push(package.manifest.finding(package.line_of(dependency), what));
            }
        }
    }
    findings
}

/// Every manifest says `[lints] workspace = true`.
pub(crate) fn own_lints(packages: &[Package]) -> Vec<Finding> {
    let inherits = |package: &&Package| {
        let manifest: toml::Table = toml::from_str(&package.manifest.text).unwrap();
        let inherited = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        inherited == Some(true)
    };
    packages
        .iter()
        .filter(|package| !inherits(package))
        .map(|package| {
            package
                .manifest
                .finding(1, "must have `[lints]` with `workspace = true`")
        })
        .collect()
}

impl Package {
    /// Returns the line that names the dependency, the first line when it is renamed.
    fn line_of(&self, dependency: &str) -> usize {
        let names = |line: &str| {
            let rest = line.trim_start().strip_prefix(dependency);
            rest.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
        };
        let sections = self
            .manifest
            .lines()
            .skip_while(|(_, line)| !line.contains("dependencies]") || line.contains("workspace"));
        sections
            .into_iter()
            .find(|(_, line)| names(line))
            .map_or(1, |(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, dependencies: &[&str]) -> Package {
        let listed: String = dependencies
            .iter()
            .map(|name| format!("{name}.workspace = true\n"))
            .collect();
        Package {
            name: name.to_owned(),
            manifest: Text::sample(
                "x/Cargo.toml",
                format!("[lints]\nworkspace = true\n[dependencies]\n{listed}"),
            ),
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn found(name: &str, dependencies: &[&str]) -> Vec<usize> {
        let mut packages: Vec<Package> = DIRECTION
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(other, _)| sample(other, &[]))
            .collect();
        packages.push(sample(name, dependencies));
        wrong_dependencies(&packages)
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_dependency_backwards_is_found() {
        for (name, dependency) in [
            ("parlor-actors", "parlor-cluster"),
            ("parlor-cluster", "parlor-actors"),
            ("parlor-config", "parlor-actors"),
            ("parlor-schema", "parlor-config"),
            ("parlor-client", "parlor-config"),
            ("parlor-actors", "parlor"),
        ] {
            assert_eq!(
                found(name, &["serde", dependency]),
                [5],
                "{name} -> {dependency}"
            );
        }
        for (name, allowed) in DIRECTION {
            assert!(found(name, allowed).is_empty(), "{name}");
        }
        assert_eq!(found("parlor-other", &[]), [1]);
    }

    #[test]
    fn the_outside_in_the_schema_is_found() {
        for dependency in ["actix", "actix-web", "tokio", "tokio-util", "redb"] {
            assert_eq!(
                found("parlor-schema", &["serde", "uuid", dependency]),
                [6],
                "{dependency}"
            );
            assert!(found("parlor-cluster", &[dependency]).is_empty());
        }
    }

    #[test]
    fn a_member_with_lints_of_its_own_is_found() {
        let mut package = sample("parlor", &[]);
        assert_eq!(own_lints(&[sample("parlor", &[])]), []);
        for text in [
            "",
            "[lints]\n",
            "[lints]\nworkspace = false\n",
            "[lints.rust]\nunsafe_code = \"forbid\"\n",
        ] {
            package.manifest = Text::sample("x/Cargo.toml", text);
            assert_eq!(own_lints(std::slice::from_ref(&package)).len(), 1, "{text}");
        }
    }
}
