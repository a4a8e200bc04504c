"""What engines share that hold a layer whole on the chip. See docs/decisions/0087-shidiannao.md."""
