"""The WAN experiment: studies sent over an emulated link, in one transfer syntax and another, and what that took."""
