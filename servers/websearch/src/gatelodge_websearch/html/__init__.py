"""From HTML to Markdown: hidden nodes out, content chosen, written as it looked."""
