"""What each subcommand does once its arguments are parsed; `ecgstudio.cli` imports one of them, and only then."""
