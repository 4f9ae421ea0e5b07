# The version is one line for people and one object for programs, with the number of the numerics.
tessera version
tessera --version
exits 0 tessera version --json
json 'j["name"] == "tessera" and j["schema"] == 1 and j["numerics"] >= 1'
json 'list(j) == sorted(j)'
