// swift-tools-version: 6.2

import PackageDescription

/// The dialect of the package above.
let dialect: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// A package of its own, so that nobody who uses the libraries resolves what they are compared with.
// `make bench` builds it.
let package = Package(
  name: "swift-fd-poller-benchmarks",
  dependencies: [
    .package(name: "swift-fd-poller", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    // Without its traits, which replace the allocator and the reference counting that are measured.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.0", traits: []),
  ],
  targets: [
    .target(name: "CBench"),
    .target(
      name: "CRing", dependencies: ["CBench"], linkerSettings: [.linkedLibrary("uring")]),
    .executableTarget(name: "fd-load", dependencies: ["CBench"]),
    .executableTarget(name: "epoll-echo", dependencies: ["CBench"]),
    .executableTarget(name: "epoll-http", dependencies: ["CBench"]),
    .executableTarget(name: "epoll-l4", dependencies: ["CBench"]),
    .executableTarget(name: "uring-echo", dependencies: ["CBench", "CRing"]),
    .executableTarget(name: "uring-http", dependencies: ["CBench", "CRing"]),
    .executableTarget(
      name: "fd-server",
      dependencies: [
        .product(name: "FDAsync", package: "swift-fd-poller"),
        .product(name: "FDHTTP", package: "swift-fd-poller"),
        .product(name: "FDNet", package: "swift-fd-poller"),
        .product(name: "FDPoller", package: "swift-fd-poller"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "fd-takeover",
      dependencies: [
        .product(name: "FDNet", package: "swift-fd-poller"),
        .product(name: "FDPoller", package: "swift-fd-poller"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "nio-server",
      dependencies: [
        "CBench",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "hummingbird-server",
      dependencies: [
        "CBench",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "Micro",
      dependencies: [
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "Workloads", package: "swift-fd-poller"),
      ],
      path: "Benchmarks/Micro",
      swiftSettings: dialect,
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ]
)
