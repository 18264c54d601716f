import ArgumentParser

do {
  var command = try FDProxy.parseAsRoot()
  try command.run()
} catch {
  FDProxy.end(with: error)
}
