def zyzzyva(:
    pass

def other():
    let = 3
