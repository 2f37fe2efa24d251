//! Rules about the source that neither the compiler, nor clippy.toml, nor deny.toml can hold.

use std::path::{Path, PathBuf};

use regex::Regex;

/// The layers. A module may import from its own layer and from those before it.
const LAYERS: [&str; 11] = [
    "config",
    "services server dev::mailbox dev::simulator",
    "models",
    "forms",
    "views",
    "tasks",
    "error session state",
    "extractors middleware",
    "cli controllers dev dev::mailbox::pages",
    "routes",
    "lib main",
];

/// Patterns that only files of these modules may contain.
const RESERVED: [(&str, &[&str]); 8] = [
    (
        r"axum",
        &[
            "controllers",
            "dev",
            "error",
            "extractors",
            "lib",
            "main",
            "middleware",
            "routes",
            "server",
            "session",
            "state",
            "tasks",
            "views",
        ],
    ),
    (r"sqlx::query|QueryBuilder", &["models"]),
    (r"AssertSqlSafe", &[]), // sqlx takes only literals without it
    (r"</", &["dev"]),       // HTML is in the templates
    (r"\b(md5|md4|sha1|ripemd)\b", &["views::profile"]), // Gravatar's address
    // Random numbers come from `getrandom`. Only the id of a request is no secret.
    (r"\b(rand|nanorand|oorandom|uuid)::", &[]),
    (r"\bfastrand::", &["middleware::request_log"]),
    (r"danger_accept|dangerous\(|DangerousConfig|NoVerif", &[]), // certificates are verified
];

/// Reads all files of a folder with this extension, with their paths in it.
pub fn read_files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                files.push((name.to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "{folder}");
    files
}

/// Reads the modules of the program by their paths, without comments and unit tests.
fn read_modules() -> Vec<(String, String)> {
    let comment = Regex::new(r"(?m)^\s*//.*$|\s// .*$").unwrap();
    let module = |(name, text): (String, String)| {
        let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let code = text.split("#[cfg(test)]").next().unwrap();
        (
            name.replace('/', "::"),
            comment.replace_all(code, "").into_owned(),
        )
    };
    read_files("src", "rs").into_iter().map(module).collect()
}

/// Finds the layer of a module, by the longest of its paths that a layer lists.
fn layer_of(module: &str) -> usize {
    let mut path = module;
    loop {
        let mut layers = LAYERS.iter();
        if let Some(layer) = layers.position(|it| it.split(' ').any(|it| it == path)) {
            return layer;
        }
        let parent = path.rsplit_once("::");
        path = parent
            .unwrap_or_else(|| panic!("{module} is in no layer"))
            .0;
    }
}

#[test]
fn modules_import_only_from_their_own_layer_and_lower_ones() {
    let import = Regex::new(r"\b(?:crate|twostep)::([a-z]\w*(?:::[a-z]\w*)?)").unwrap();
    let mut imports = 0;
    for (module, code) in read_modules() {
        for found in import.captures_iter(&code) {
            assert!(
                layer_of(&module) >= layer_of(&found[1]),
                "{module} imports {}",
                &found[1]
            );
            imports += 1;
        }
    }
    assert!(imports > 300, "{imports}");
}

#[test]
fn no_two_modules_import_each_other_in_a_loop() {
    let modules = read_modules();
    let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
    let import = Regex::new(r"\b(?:crate|twostep)((?:::[a-z]\w*)+)").unwrap();
    let mut imports: Vec<(&str, &str)> = Vec::new();
    for (module, code) in &modules {
        for found in import.captures_iter(code) {
            let path = found[1].trim_start_matches("::").to_owned();
            let is_in = |name: &&&str| path == **name || path.starts_with(&format!("{name}::"));
            let target = names.iter().filter(is_in).max_by_key(|name| name.len());
            // A module and its own parts count as one.
            let is_own = |it: &&&str| module.starts_with(**it) || it.starts_with(module.as_str());
            let target = target.filter(|it| !is_own(it));
            imports.extend(target.map(|it| (module.as_str(), *it)));
        }
    }
    // A module that imports nothing that is left is in no loop.
    loop {
        let before = imports.len();
        let importing: Vec<&str> = imports.iter().map(|(module, _)| *module).collect();
        imports.retain(|(_, target)| importing.contains(target));
        if imports.len() == before {
            break;
        }
    }
    assert!(imports.is_empty(), "{imports:?}");
}

/// ASVS 1.2.4, 6.5.3, 11.4.1, 11.4.3, 11.5.1, 12.3.2
#[test]
fn sql_html_and_weak_cryptography_are_only_where_they_may_be() {
    let modules = read_modules();
    for (pattern, owners) in RESERVED {
        let pattern = Regex::new(pattern).unwrap();
        for (module, code) in &modules {
            let is_owner = |it: &&str| module == it || module.starts_with(&format!("{it}::"));
            let found = pattern.find(code).filter(|_| !owners.iter().any(is_owner));
            assert_eq!(found.map(|it| it.as_str()), None, "{module}");
        }
    }
}

#[test]
fn source_files_have_fewer_than_300_lines_of_code() {
    for (name, text) in read_files("src", "rs") {
        let lines = text.lines().map(str::trim);
        let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        assert!(code.count() < 300, "{name}");
    }
}

/// ASVS 1.2.3, 3.2.2
#[test]
fn templates_escape_everything_and_contain_no_script_or_style() {
    let forbidden = Regex::new(
        r#"(?i)\|\s*safe|\bescape\b|style\s*=|<style|<script(?:>|\s+[^>]*>\s*[^<\s])|\son\w+\s*=|javascript:"#,
    )
    .unwrap();
    for (name, mut text) in read_files("templates", "html") {
        // Email programs support styles only in attributes.
        if name.starts_with("email/") {
            text = text.replace(" style=\"", " ");
            assert!(!text.contains("src=") && !text.contains("url("), "{name}");
        }
        let found = forbidden.find(&text).map(|it| it.as_str());
        assert_eq!(found, None, "{name}");
    }
    for bad in [
        "{{ x|safe }}",
        "<p style=\"x\">",
        "<script>",
        "<script src=x>y",
        "<a onclick=x>",
    ] {
        assert!(forbidden.is_match(bad), "{bad}");
    }
}

/// ASVS 1.3.2, 3.2.2, 3.3.4, 14.3.3
#[test]
fn scripts_write_no_html_and_store_nothing() {
    let forbidden = Regex::new(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|localStorage|sessionStorage|indexedDB|caches\.|document\.cookie",
    )
    .unwrap();
    for (name, text) in read_files("static/js", "js") {
        let found = forbidden.find(&text).map(|it| it.as_str());
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn every_dependency_has_a_comment_that_says_what_it_is_for() {
    let manifest = include_str!("../../Cargo.toml");
    let sections = manifest
        .split("\n[")
        .filter(|it| it.contains("dependencies]\n"));
    for line in sections.flat_map(|section| section.lines().skip(1)) {
        assert!(line.is_empty() || line.contains(" # "), "{line}");
    }
}

#[test]
fn our_release_code_checks_for_integer_overflow() {
    let manifest = include_str!("../../Cargo.toml");
    let profile = manifest.split("[profile.release]\n").nth(1).unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(profile.contains("overflow-checks = true"), "{profile}");
}

/// ASVS 13.3.1
#[test]
fn the_repository_contains_no_settings_with_secrets() {
    for (ignored, prefix) in [
        (include_str!("../../.gitignore"), ""),
        (include_str!("../../.dockerignore"), "**/"),
    ] {
        for file in [".env".to_owned(), format!("{prefix}twostep.key")] {
            assert!(ignored.lines().any(|line| line == file), "{file}");
        }
    }
    let setting = Regex::new(r"(?m)^[A-Z]").unwrap();
    assert!(
        !setting.is_match(include_str!("../../.env.template")),
        "a value is set"
    );
}
