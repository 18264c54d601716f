import ArgumentParser

FDServer.main()
