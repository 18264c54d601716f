import ArgumentParser

do {
  var command = try FDTunnel.parseAsRoot()
  try command.run()
} catch {
  FDTunnel.end(with: error)
}
