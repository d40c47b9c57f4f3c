autocmd BufRead,BufNewFile *.el,*.hlm setfiletype energy
