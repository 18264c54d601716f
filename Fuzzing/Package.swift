// swift-tools-version: 6.2

import PackageDescription

// A package of its own, so that nobody resolves it who uses the libraries. `make fuzz` builds it.
let package = Package(
  name: "Fuzzing",
  dependencies: [.package(name: "swift-fd-poller", path: "..")],
  targets: [
    // The properties are also a target of the package above, for its tests. They use no more than
    // what is public.
    .executableTarget(
      name: "FuzzHTTP",
      dependencies: [.product(name: "FDHTTP", package: "swift-fd-poller")],
      path: "Sources",
      swiftSettings: [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        // The fuzzer has the main function.
        .unsafeFlags(["-parse-as-library"]),
      ])
  ]
)
