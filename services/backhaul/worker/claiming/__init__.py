"""From a token to a grant: what may be started is asked for first. *No claim, no run.*"""
