struct ProxyPlaceholder {}
