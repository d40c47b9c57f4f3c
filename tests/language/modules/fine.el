let limit = 3

def fine(n: Int):
    print n + limit
