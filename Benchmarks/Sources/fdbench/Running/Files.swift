import Glibc
import SystemPackage

/// Small files and folders, whole.
enum Files {
  /// Nil if it cannot be read, as the file of a process that has ended.
  static func read(_ path: String) -> String? {
    guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
    defer { try? file.close() }
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { chunk.deallocate() }
    while true {
      guard let count = try? file.read(into: chunk) else { return nil }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }

  static func write(_ text: String, to path: String) throws(Failure) {
    do {
      let file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .truncate],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      try file.closeAfter { _ = try file.writeAll(text.utf8) }
    } catch {
      throw Failure("cannot write \(path): \(error)")
    }
  }

  /// Makes it, and those that it is in, unless they are there.
  static func makeFolder(_ path: String) throws(Failure) {
    var folder = ""
    for (index, part) in path.split(separator: "/", omittingEmptySubsequences: false).enumerated() {
      folder += index == 0 ? part : "/" + part
      if !folder.isEmpty { mkdir(folder, 0o755) }
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw Failure(
        "cannot make the folder \(path), or not write into it: \(Errno(rawValue: errno))")
    }
  }

  static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

  /// The names in a folder; none if it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  static func remove(folder: String) {
    for name in names(in: folder) {
      let path = folder + "/" + name
      if unlink(path) != 0 { remove(folder: path) }
    }
    rmdir(folder)
  }
}
