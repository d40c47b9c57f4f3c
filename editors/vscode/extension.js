// Starts `el lsp` and connects it with the editor; everything else is done by the server.

"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function makeClient() {
  const settings = vscode.workspace.getConfiguration("energylang");
  const [command, ...args] = settings.get("command");
  const folder = vscode.workspace.workspaceFolders?.[0];
  const server = { command, args, options: { cwd: folder?.uri.fsPath } };
  return new LanguageClient("energylang", "Energy Language", server, {
    documentSelector: [
      { language: "energy", scheme: "file" },
      { language: "energy", scheme: "untitled" },
    ],
    initializationOptions: { docs: settings.get("docs") },
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{el,pt,pth,safetensors,gguf}") },
  });
}

async function start() {
  client = makeClient();
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `The language server did not start (${error.message}). Install it with: pip install "energylang[lsp]", ` +
        "or name its place in the setting energylang.command."
    );
  }
}

async function stop() {
  const old = client;
  client = undefined;
  if (old?.isRunning()) {
    await old.stop();
  }
}

async function restart() {
  await stop();
  await start();
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("energylang.restart", restart),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("energylang") && restart())
  );
  await start();
}

module.exports = { activate, deactivate: stop };
