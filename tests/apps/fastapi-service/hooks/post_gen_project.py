import shutil
from pathlib import Path

MODULE = Path("{{ cookiecutter.__module }}")

if "{{ cookiecutter.database }}" == "none":
    (MODULE / "database.py").unlink()
if "{{ cookiecutter.use_docker }}" != "True":
    Path("Dockerfile").unlink()
    shutil.rmtree("deploy")
if "{{ cookiecutter.use_auth }}" != "y":
    (MODULE / "auth.py").unlink()
Path("run.sh").chmod(0o755)
