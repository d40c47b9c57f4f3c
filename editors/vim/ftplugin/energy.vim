setlocal commentstring=#\ %s expandtab shiftwidth=4 softtabstop=4
setlocal iskeyword+=-
let b:undo_ftplugin = "setlocal commentstring< expandtab< shiftwidth< softtabstop< iskeyword<"
