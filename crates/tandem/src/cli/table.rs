//! Aligned columns for people.

/// Rows under a heading, each column as wide as its widest cell; numbers to the right.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(heading.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let right: Vec<bool> = (0..heading.len()).map(|c| numeric(rows, c)).collect();
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    let heading: Vec<String> = heading.iter().map(|h| h.to_string()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(&right) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            line += &if *right { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn numeric(rows: &[Vec<String>], column: usize) -> bool {
    let is_number = |c: &String| {
        c == "-"
            || c.bytes().all(|b| b.is_ascii_digit() || b"-.%".contains(&b))
                && c.contains(|c: char| c.is_ascii_digit())
    };
    let mut cells = rows.iter().filter_map(|r| r.get(column)).peekable();
    cells.peek().is_some() && cells.all(is_number)
}

/// `name  value` lines, aligned.
pub fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["acme".into(), "10.00".into()], vec!["Zürich".into(), "-2.5".into()]];
        let want = "NAME    BALANCE\nacme      10.00\nZürich     -2.5\n";
        assert_eq!(table(&["NAME", "BALANCE"], &rows), want);
        assert_eq!(table(&["NAME", "BALANCE"], &[]), "NAME  BALANCE\n");
    }
}
