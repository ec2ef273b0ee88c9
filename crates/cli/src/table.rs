//! The table that Kafka's newer tools print (`ToolsUtils.prettyPrintTable`): columns are filled up
//! with blanks to their widest cell, and each ends with a tab.

use std::io::Write as _;

use crate::failure::Outcome;
use crate::output::stdout;

/// Prints a table.
pub(crate) fn print_table(headers: &[&str], rows: &[Vec<String>]) -> Outcome {
    let mut output = stdout();
    output.write_all(render(headers, rows).as_bytes())?;
    Ok(output.flush()?)
}

fn render(headers: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headers[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let header: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    let mut text = String::new();
    for row in [&header].into_iter().chain(rows) {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}\t"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "longer".to_owned()]];
        assert_eq!(super::render(&["Id", "State"], &rows), "Id\tState \t\na \tlonger\t\n");
        assert_eq!(super::render(&["Id"], &[]), "Id\t\n");
    }
}
