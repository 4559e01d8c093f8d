"""The mail path, to be read top to bottom: receive, submit, judge, plan, deliver, outbound, retry, bounce."""
