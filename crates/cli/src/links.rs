//! `links`: makes links named as Kafka's tools, with and without `.sh`, that lead to this binary.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::failure::{Failure, Outcome};
use crate::options::{Arg, Asked, Grammar, Show};
use crate::output::print_line;
use crate::tool::{Call, Tool};

const GRAMMAR: Grammar = Grammar {
    about: "This tool makes links named as Kafka's tools, such as kafka-topics and kafka-topics.sh.",
    options: &[(
        "dir",
        Arg::Text("directory"),
        "REQUIRED: Where; it is made if need be.",
        Show::Yes,
    )],
};

/// Runs the tool.
pub(crate) fn run(call: &Call) -> Outcome {
    let Asked::Run(parsed) = GRAMMAR.parse(call)? else { return Ok(()) };
    GRAMMAR.require(&parsed, &["dir"])?;
    let dir = Path::new(parsed.value("dir")?.unwrap_or_default());
    let failed =
        |path: &Path, error: io::Error| Failure::Message(format!("{}: {error}", path.display()));
    let target = std::env::current_exe().map_err(|error| failed(dir, error))?;
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let mut count = 0;
    for name in Tool::link_names() {
        for name in [name.to_owned(), format!("{name}.sh")] {
            let path = dir.join(name);
            link(&target, &path).map_err(|error| failed(&path, error))?;
            count += 1;
        }
    }
    Ok(print_line(&format!("Made {count} links in {}.", dir.display()))?)
}

/// Makes a link, replacing a link but nothing else.
fn link(target: &Path, path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_symlink() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("it is there already and is not a link")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(target, path)
}
