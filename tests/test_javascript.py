"""The page's scripts, by eslint."""

import shutil
import subprocess


def test_the_scripts_of_the_page_are_clean(repository, node_tools, tmp_path):
    shutil.copytree(repository / "bat" / "report" / "browse", node_tools / "browse")
    lint = ["npm", "exec", "--offline", "--", "eslint", "browse"]
    done = subprocess.run(lint, cwd=node_tools, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
