"""Generated questions: the quickstart's three answer types, and sets that show one method each.

questions.py  the quickstart's questions with worked answers
prepare.py    the quickstart's files
dosing.py     doses with a maximum, which the scorer's tolerance lets pass
advice.py     advice with a checklist that rules decide
flawed.py     the files of a set whose demonstrations have stated flaws
rows.py       rows of generated conversations
lookup.py     questions that take two searches, with their documents; lookup_files.py writes them
searcher.py   questions that a frozen reader answers, with their documents; searcher_files.py writes them
consultation.py  patients whose best policy is known exactly; consultation_files.py writes them
examinations.py  the same patients, whose findings are ordered at a price
images.py     pictures of spots, whose answers are known exactly; images_files.py writes them
images_both.py  the same pictures asked with options and open-ended, within length budgets
"""
