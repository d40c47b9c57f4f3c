-- Energy Language in Neovim 0.11 or newer: put this file into ~/.config/nvim/plugin/.
-- The colours of ../vim/syntax are used until the server sends its own.

vim.filetype.add({ extension = { el = "energy", hlm = "energy" } })

vim.lsp.config("energylang", {
  cmd = { "el", "lsp" },
  filetypes = { "energy" },
  root_markers = { ".git" },
})
vim.lsp.enable("energylang")
