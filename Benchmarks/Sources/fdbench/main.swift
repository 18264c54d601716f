import ArgumentParser

FDBench.main()
