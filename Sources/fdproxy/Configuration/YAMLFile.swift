import SystemPackage
import Yams

/// The text of a configuration file, as far as it is YAML.
struct YAMLFile {
  let path: String
  private static let mostBytes = 1 << 20

  /// Reads the file.
  ///
  /// - Parameter complaints: gets what is wrong with it.
  /// - Returns: nil if nothing can be made of it.
  func root(_ complaints: Complaints) -> Node? {
    guard let text = text(complaints), let node = node(of: text, complaints) else { return nil }
    guard node.mapping != nil else {
      complaints.add("a configuration consists of keys with values", at: node.mark.map(Place.init))
      return nil
    }
    return node
  }

  private func text(_ complaints: Complaints) -> String? {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      return try file.closeAfter {
        var bytes: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 1)
        defer { buffer.deallocate() }
        while case let count = try file.read(into: buffer), count > 0 {
          bytes += buffer[..<count]
          guard bytes.count <= Self.mostBytes else {
            complaints.add("it is larger than 1 MiB", at: nil)
            return nil
          }
        }
        let text = String(validating: bytes, as: UTF8.self)
        if text == nil { complaints.add("it is not text in UTF-8", at: nil) }
        return text
      }
    } catch {
      complaints.add("cannot read it: \(error)", at: nil)
      return nil
    }
  }

  private func node(of text: String, _ complaints: Complaints) -> Node? {
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .map { Array($0.unicodeScalars) }
    while true {
      do {
        let text = lines.map { String(String.UnicodeScalarView($0)) }.joined(separator: "\n")
        guard let node = try compose(yaml: text) else {
          complaints.add("it is empty", at: nil)
          return nil
        }
        return node
      } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
        guard let key = keys.first,
          let second = Self.repetition(of: key, after: Place(context.mark), in: lines)
        else {
          complaints.add(
            "\(keys.joined(separator: ", ")): there twice in one place, say it once",
            at: Place(context.mark))
          return nil
        }
        complaints.add(
          "\(key): it is there already, in line \(context.mark.line); say it once", at: second)
        // The rest of the file may have mistakes, too.
        lines[second.line - 1][second.column - 1] = Self.placeholder(complaints.all.count)
      } catch {
        Self.complain(error, lines, complaints)
        return nil
      }
    }
  }
}

// MARK: - Keys that are there twice

extension YAMLFile {
  /// Scalars for private use, which mark a key that has been complained about.
  private static let placeholders: ClosedRange<UInt32> = 0xe000...0xf8ff

  private static func placeholder(_ number: Int) -> Unicode.Scalar {
    let value = placeholders.lowerBound + UInt32(number % placeholders.count)
    return Unicode.Scalar(value) ?? "\u{e000}"
  }

  static func isRepetition(_ key: String) -> Bool {
    key.unicodeScalars.first.map { placeholders.contains($0.value) } ?? false
  }

  /// Where a key of a mapping is again: on a later line, in the same column.
  private static func repetition(
    of key: String, after first: Place, in lines: [[Unicode.Scalar]]
  ) -> Place? {
    let indentation = first.column - 1
    for (index, line) in lines.enumerated().dropFirst(first.line) {
      let spaces = line.prefix { $0 == " " }.count
      if spaces == line.count || line[spaces] == "#" { continue }
      guard spaces >= indentation else { return nil }
      let rest = line[spaces...]
      guard spaces == indentation, rest.starts(with: key.unicodeScalars) else { continue }
      if rest.dropFirst(key.unicodeScalars.count).first(where: { $0 != " " }) == ":" {
        return Place(line: index + 1, column: first.column)
      }
    }
    return nil
  }
}

// MARK: - What is no YAML

extension YAMLFile {
  private static func complain(
    _ error: any Error, _ lines: [[Unicode.Scalar]], _ complaints: Complaints
  ) {
    switch error {
    case YamlError.scanner(let context, let problem, let mark, _),
      YamlError.parser(let context, let problem, let mark, _),
      YamlError.composer(let context, let problem, let mark, _):
      let doing = context.map { "\($0.text), " } ?? ""
      // The scanner may see only later that something is not what it began as.
      let suspects = [context?.mark.line, mark.line].compactMap(\.self)
        .filter { lines.indices ~= $0 - 1 }.map { lines[$0 - 1] }
      let hint =
        suspects.contains { $0.contains("*") || $0.contains("[") }
        ? "; put an address that begins with * or [ in quotes, as \"*:8080\"" : ""
      complaints.add("this is no YAML: \(doing)\(problem)\(hint)", at: Place(mark))
    case YamlError.reader(let problem, let offset, _, let text):
      let before = text.prefix(offset ?? 0)
      let line = before.filter(\.isNewline).count + 1
      let column = before.reversed().prefix { !$0.isNewline }.count + 1
      complaints.add("this is no YAML: \(problem)", at: Place(line: line, column: column))
    default:
      complaints.add("this is no YAML: \(error)", at: nil)
    }
  }
}
