"""TopoNets (ICLR 2025), reproduced: topographic networks, their measures and their figures."""
