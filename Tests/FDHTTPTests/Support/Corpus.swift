import Glibc

/// The inputs of the fuzzer that are kept.
enum Corpus {
  struct Unreadable: Error {
    let path: String
  }

  /// Every file of the folder with its name, in the order of names.
  static func inputs() throws -> [(name: String, bytes: [UInt8])] {
    let folder =
      #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()
      + "/Fuzzing/Corpus"
    guard let directory = opendir(folder) else { throw Unreadable(path: folder) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return try names.sorted().map { ($0, try bytes(of: folder + "/" + $0)) }
  }

  private static func bytes(of path: String) throws -> [UInt8] {
    guard let file = fopen(path, "re") else { throw Unreadable(path: path) }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }
}
