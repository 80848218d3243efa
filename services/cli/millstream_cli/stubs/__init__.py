"""`millstream stubs`: contracts of job types, written from the schemas that workers have registered.

`schema_reader` makes Python types of a JSON Schema, `union_merger` what a decoder can tell apart of a union, `namer`
names that Python takes, and `module_writer` the text of the module.
"""
