/// A table in Markdown whose columns are aligned in the source, too.
struct Table {
  private var rows: [[String]]

  init(_ head: [String]) { rows = [head] }

  /// - Parameter row: as many cells as the head has.
  mutating func add(_ row: [String]) {
    precondition(row.count == rows[0].count, "a row has the columns of its table")
    rows.append(row)
  }

  var isEmpty: Bool { rows.count == 1 }

  /// The first column leans left, the others right.
  var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = rows.map { row in
      "| "
        + zip(row, widths).enumerated().map { column, cell in
          let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
          return column == 0 ? cell.0 + space : space + cell.0
        }.joined(separator: " | ") + " |"
    }
    let rule = widths.enumerated().map { column, width in
      String(repeating: "-", count: max(2, width) + 1) + (column == 0 ? "-" : ":")
    }
    lines.insert("|" + rule.joined(separator: "|") + "|", at: 1)
    return lines.joined(separator: "\n") + "\n"
  }
}
