//! The table of options that follows a usage error and the help: two columns, 80 wide.

use super::{Arg, Opt, Show};

const WIDTH: usize = 80;
const LEFT: usize = 40;

/// Renders the options in the order of their names.
pub(super) fn render<'a>(options: impl Iterator<Item = &'a Opt>) -> String {
    let mut rows: Vec<&Opt> = options.filter(|(.., show)| *show == Show::Yes).collect();
    rows.sort_by_key(|(name, ..)| *name);
    let mut text = String::new();
    row(&mut text, "Option", "Description");
    row(&mut text, "------", "-----------");
    for (name, takes, help, _) in rows {
        row(&mut text, &left(name, *takes), help);
    }
    text
}

fn left(name: &str, takes: Arg) -> String {
    match takes {
        Arg::None => format!("--{name}"),
        Arg::Text(what) => format!("--{name} <String: {what}>"),
        Arg::Maybe(what) => format!("--{name} [String: {what}]"),
        Arg::Int(what) => format!("--{name} <Integer: {what}>"),
        Arg::Long(what) => format!("--{name} <Long: {what}>"),
    }
}

fn row(text: &mut String, left: &str, right: &str) {
    let (left, right) = (wrap(left, LEFT - 1), wrap(right, WIDTH - LEFT - 1));
    for index in 0..left.len().max(right.len()) {
        let cell = |cells: &[String]| cells.get(index).cloned().unwrap_or_default();
        let line = format!("{:<LEFT$} {}", cell(&left), cell(&right));
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Breaks between words; lines after the first are indented by two.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
