"""EVM contracts: the ABI; calls and events of Pyth, Wormhole, Multicall3, ERC-20 and ERC-1967 proxies; known deployments."""
