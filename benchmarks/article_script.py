"""The article's lines with the least repair that lets them run on the Telco file: article_script.py FILE.

As printed they stop four times: there is no `customer_churn.csv`; the target is called `Churn`; texts (the
id, the categories, eleven blank TotalCharges) do not fit into `StandardScaler`; and `Yes`/`No` is no label
for `binary_crossentropy`. Lines that were changed or added say so.
"""

import sys

import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tensorflow import keras

data = pd.read_csv(sys.argv[1])  # changed: the file's name
data["TotalCharges"] = pd.to_numeric(data["TotalCharges"], errors="coerce").fillna(0)  # added: blanks
X = pd.get_dummies(data.drop(["Churn", "customerID"], axis=1))  # changed: name of the target, id, texts
y = (data["Churn"] == "Yes").astype(int)  # changed: texts
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)
scaler = StandardScaler()
X_train_scaled = scaler.fit_transform(X_train)
X_test_scaled = scaler.transform(X_test)
model = keras.Sequential(
    [
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(X_train_scaled, y_train, epochs=10, validation_split=0.2)
