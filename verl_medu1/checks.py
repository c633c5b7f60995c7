"""placeholder"""
def check(config): pass
