"""What the command line does, one function a command; each module is loaded when a command of it is called."""
