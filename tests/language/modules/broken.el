def broken(:
    pass

def other():
    let = 3
