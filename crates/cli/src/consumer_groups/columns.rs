//! Rows of cells, padded to columns as Kafka's tools pad them.

/// A row: each cell filled up to its width, with a blank between; width 0 leaves a cell as it is.
pub(crate) fn row<T: AsRef<str>>(widths: &[usize], cells: &[T]) -> String {
    let mut text = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let width = widths.get(index).copied().unwrap_or_default();
        text.push_str(&format!("{:<width$}", cell.as_ref()));
    }
    text
}

/// The width of a column: that of its longest cell, and no less than `least`.
pub(crate) fn width<'a>(least: usize, cells: impl Iterator<Item = &'a str>) -> usize {
    cells.map(|cell| cell.chars().count()).fold(least, usize::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_filled_up_and_never_cut() {
        assert_eq!(row(&[3, 2, 0], &["a", "bcd", "e"]), "a   bcd e");
        assert_eq!(width(2, ["abc", "ü"].into_iter()), 3);
        assert_eq!(width(5, [].into_iter()), 5);
    }
}
