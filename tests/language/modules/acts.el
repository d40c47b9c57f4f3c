def fine():
    pass
print 1
